// What this machine has, as JSON for TypeScript (src/engine/cuda-report.ts).
#pragma once

#include <string>

namespace tunebook::cuda {

/** { driver, release, reason, gpus: [{ index, name, major, minor, bytes, multiprocessors }] } without opening any of them. */
std::string foundHere();

/** Memory that the GPU of this index has free and in all, and its meters: { freeBytes, totalBytes, meters }. Needs an open device. */
std::string stateOf(int index);

}  // namespace tunebook::cuda
