// Whole rows moved by index: embedding, gatherRows, writeRows, and the embedding's gradient. A block per row; where several rows go to
// one place, the block of one of them does the work in the order of the rows.

#include "cuda.h"

namespace tunebook::cuda {
namespace {

TB_DEVICE bool isInside(const RowsParams& p, int64_t row, int index) {
  if (index >= 0 && index < p.table) return true;
  if (threadIdx.x == 0) report(p.fault, row);
  return false;
}

TB_DEVICE void copyRow(const RowsParams& p, int64_t from, int64_t to) {
  for (int64_t i = threadIdx.x; i < p.width; i += blockDim.x) {
    storeAs(p.toType, p.to, to * p.width + i, loadAs(p.fromType, p.from, from * p.width + i));
  }
}

/** Whether an index appears among those from .. to - 1; the same answer in all threads. */
TB_DEVICE bool appears(const RowsParams& p, int index, int64_t from, int64_t to, int* room) {
  int found = 0;
  for (int64_t i = from + threadIdx.x; i < to; i += blockDim.x) found |= p.index[i] == index;
  return blockSum(found, room) > 0;
}

}  // namespace

TB_KERNEL(gather_rows, 256, RowsParams) {
  const int index = p.index[blockIdx.x];
  if (isInside(p, blockIdx.x, index)) copyRow(p, index, blockIdx.x);
}

/** The last of several rows for one place stays. */
TB_KERNEL(write_rows, 256, RowsParams) {
  TB_SHARED(int, room, 32);
  const int64_t row = blockIdx.x;
  const int index = p.index[row];
  if (index < 0 || !isInside(p, row, index) || appears(p, index, row + 1, p.count, room)) return;
  copyRow(p, row, index);
}

/** The first row of an id adds all rows of that id, in order. */
TB_KERNEL(add_rows, 256, RowsParams) {
  TB_SHARED(int, room, 32);
  const int64_t row = blockIdx.x;
  const int index = p.index[row];
  if (!isInside(p, row, index) || appears(p, index, 0, row, room)) return;
  auto* to = static_cast<float*>(p.to) + index * p.width;
  for (int64_t other = row; other < p.count; other++) {
    if (p.index[other] != index) continue;
    for (int64_t i = threadIdx.x; i < p.width; i += blockDim.x) to[i] += loadAs(p.fromType, p.from, other * p.width + i);
  }
}

}  // namespace tunebook::cuda
