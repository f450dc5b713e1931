// NVIDIA's management library, found at run time: what the card is doing, and who else has memory on it.
#pragma once

#include <string>

namespace tunebook::cuda {

/** JSON of the meters of the GPU with this PCI bus id: each value, or null where the library does not tell. */
std::string metersOf(const char* busId);

/** Version of the driver, as in "580.12"; empty when it cannot be told. */
std::string driverRelease();

}  // namespace tunebook::cuda
