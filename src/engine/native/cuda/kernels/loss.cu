// Cross-entropy around the head's products, which product.cu makes: which rows have labels, what each costs, and the sum.

#include "cuda.h"

namespace tunebook::cuda {

constexpr int kIgnoredLabel = -100;

/** rows = the rows with labels, in order; labelled[0] = how many. One block of 1024. */
TB_KERNEL(list_labels, 1024, LossParams) {
  TB_SHARED(int, counts, 32);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  int before = 0;
  for (int64_t start = 0; start < p.count; start += blockDim.x) {
    const int64_t t = start + threadIdx.x;
    const int label = t < p.count ? p.labels[t] : kIgnoredLabel;
    bool labelled = label != kIgnoredLabel;
    if (labelled && (label < 0 || label >= p.vocab)) {
      report(p.fault, t);
      labelled = false;
    }
    int place = labelled;  // inclusive sum over the warp
    for (int step = 1; step < 32; step *= 2) {
      const int other = __shfl_sync(0xffffffffu, place, lane >= step ? lane - step : 0);
      if (lane >= step) place += other;
    }
    __syncthreads();
    if (lane == 31) counts[warp] = place;
    __syncthreads();
    int earlier = before, all = 0;
    for (int i = 0; i < static_cast<int>(blockDim.x) / 32; i++) {
      if (i < warp) earlier += counts[i];
      all += counts[i];
    }
    if (labelled) p.rows[earlier + place - 1] = static_cast<int32_t>(t);
    before += all;
  }
  if (threadIdx.x == 0) *p.labelled = before;
}

/**
 * nll of one labelled row of the chunk; its logits become their gradient, without the loss scale (16 bits could not hold it), where one is
 * asked for.
 */
TB_KERNEL(row_loss, 256, LossParams) {
  TB_SHARED(double, room, 32);
  TB_SHARED(float, tops, 32);
  const int64_t i = p.base + blockIdx.x;
  if (i >= *p.labelled) return;
  const int64_t row = p.rows[i];
  float* logits = p.logits + blockIdx.x * p.vocab;
  const int label = p.labels[row];
  float top = -INFINITY;
  for (int64_t j = threadIdx.x; j < p.vocab; j += blockDim.x) {
    const float v = logits[j];
    top = v > top || v != v ? v : top;
  }
  top = blockMost(top, tops);
  double total = 0;
  for (int64_t j = threadIdx.x; j < p.vocab; j += blockDim.x) total += expf(logits[j] - top);
  total = blockSum(total, room);
  const double lse = top + log(total);
  if (threadIdx.x == 0) p.nll[row] = static_cast<float>(lse - logits[label]);
  if (!p.gradient) return;
  const float shift = static_cast<float>(lse);
  __syncthreads();
  for (int64_t j = threadIdx.x; j < p.vocab; j += blockDim.x) {
    const float share = expf(logits[j] - shift);
    logits[j] = j == label ? share - 1.0f : share;
  }
}

/** totals += (sum of nll over labelled rows in f64, their number). One block. */
TB_KERNEL(loss_totals, 256, LossParams) {
  TB_SHARED(double, room, 32);
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < *p.labelled; i += static_cast<int>(blockDim.x)) sum += p.nll[p.rows[i]];
  sum = blockSum(sum, room);
  if (threadIdx.x > 0) return;
  p.totals[0] = static_cast<float>(p.totals[0] + sum);
  p.totals[1] = static_cast<float>(p.totals[1] + static_cast<double>(*p.labelled));
}

}  // namespace tunebook::cuda
