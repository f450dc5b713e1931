// The kernels of one instruction set, by code.

#include "kernels.h"

#define TB_TEXT_OF(name) #name
#define TB_TEXT(name) TB_TEXT_OF(name)

namespace tunebook::TB_ISA {

static void exponentials(const float* x, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) store(out + i, exponential(load(x + i, count - i)), count - i);
}

extern const KernelSet kernelSet = {
    TB_TEXT(TB_NAME),
    {nullptr,  embedding, embeddingWeight, rmsNorm,           rmsNormInput, rmsNormWeight,  linear, linearInput,
     linearWeight, linearBias, rope,       attention,         attentionBackward, swiglu,    swigluBackward, add,
     cast,     gatherRows, writeRows,      headLoss,          zero,         sumSquares,     adamw,  dropout,
     layerNorm, layerNormInput, layerNormWeight, gelu, geluBackward, geglu, gegluBackward, relu, reluBackward, scaledAdd,
     splitHeads, joinHeads, ropeSections, attentionBiased, attentionBiasedBackward},
    peak,
    exponentials,
};

}  // namespace tunebook::TB_ISA
