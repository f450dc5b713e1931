// The table of ops. The same facts as ops.ts and signatures.ts; test/engine/cpu-validation.test.ts holds them together.

#include "signature.h"

namespace tunebook {

static const Signature table[kCodes] = {
    {nullptr, "", "", "", "", ""},
    {"embedding", "weight:float[V,H] ids:i32[T]", "y:act[T,H]", "", "", ""},
    {"embeddingWeight", "dy:act[T,H] ids:i32[T]", "dWeight:f32[V,H]", "", "", ""},
    {"rmsNorm", "x:act[T,H] weight:float[H]", "y:act[T,H] rstd:f32[T]", "eps", "", ""},
    {"rmsNormInput", "dy:act[T,H] x:act[T,H] weight:float[H] rstd:f32[T]", "dx:act[T,H]", "accumulate", "dx=dy", ""},
    {"rmsNormWeight", "dy:act[T,H] x:act[T,H] rstd:f32[T]", "dWeight:f32[H]", "", "", ""},
    {"linear", "x:act[T,K] w:float/quantized[N,K] bias?:float[N] h?:act[T,r] b?:float[N,r]", "y:act/f32[T,N]", "scale", "", "h b"},
    {"linearInput", "dy:act[T,N] w:float/quantized[N,K] g?:act[T,r] a?:float[r,K]", "dx:act[T,K]", "alpha accumulate", "", "g a"},
    {"linearWeight", "dy:act[T,N] x:act[T,K]", "dW:f32[N,K]", "alpha", "", ""},
    {"linearBias", "dy:act[T,N]", "db:f32[N]", "", "", ""},
    {"rope", "x:act[T,heads*D] cos:f32[P,C] sin:f32[P,C] positions:i32[T]", "y:act[T,heads*D]",
     "heads interleaved inverse", "y=x", ""},
    {"attention", "q:act[batch*Q,heads*D] k:act[batch*S,kvHeads*D] v:act[batch*S,kvHeads*D] ranges:i32[batch*Q,2]",
     "o:act[batch*Q,heads*D] lse:f32[batch*Q,heads]", "batch heads kvHeads scale", "", ""},
    {"attentionBackward",
     "do:act[batch*Q,heads*D] q:act[batch*Q,heads*D] k:act[batch*S,kvHeads*D] v:act[batch*S,kvHeads*D] "
     "o:act[batch*Q,heads*D] lse:f32[batch*Q,heads] ranges:i32[batch*Q,2]",
     "dq:act[batch*Q,heads*D] dk:act[batch*S,kvHeads*D] dv:act[batch*S,kvHeads*D]", "batch heads kvHeads scale", "", ""},
    {"swiglu", "gate:act[T,N] up:act[T,N]", "y:act[T,N]", "", "y=gate y=up", ""},
    {"swigluBackward", "dy:act[T,N] gate:act[T,N] up:act[T,N]", "dGate:act[T,N] dUp:act[T,N]", "",
     "dGate=gate dUp=up dGate=dy dUp=dy", ""},
    {"add", "a:act[...] b:act[...]", "y:act[...]", "", "y=a y=b", ""},
    {"cast", "x:float/quantized[...]", "y:float/quantized[...]", "", "", ""},
    {"gatherRows", "x:act[R,H] rows:i32[n]", "y:act[n,H]", "", "", ""},
    {"writeRows", "x:act[T,H] rows:i32[T]", "cache:act[R,H]", "", "", ""},
    {"headLoss", "x:act[T,H] w:float[V,H] labels:i32[T]",
     "nll:f32[T] totals:f32[2] dx?:act[T,H] dw?:f32[V,H] logits:f32[chunk,V]", "chunk", "", ""},
    {"zero", "", "x:any[...]", "", "", ""},
    {"sumSquares", "x:f32[...]", "total:f32[1]", "", "", ""},
    {"adamw", "grad:f32[...] total:f32[1]", "param:f32[...] m:f32[...] v:f32[...]", "beta1 beta2 eps decay rateFactor", "",
     ""},
    {"dropout", "x:act[...]", "y:act[...]", "p stream", "y=x", ""},
    {"layerNorm", "x:act[T,H] weight:float[H] bias:float[H]", "y:act[T,H] mean:f32[T] rstd:f32[T]", "eps", "", ""},
    {"layerNormInput", "dy:act[T,H] x:act[T,H] weight:float[H] mean:f32[T] rstd:f32[T]", "dx:act[T,H]", "accumulate", "dx=dy",
     ""},
    {"layerNormWeight", "dy:act[T,H] x:act[T,H] mean:f32[T] rstd:f32[T]", "dWeight:f32[H]", "", "", ""},
    {"gelu", "x:act[...]", "y:act[...]", "", "y=x", ""},
    {"geluBackward", "dy:act[...] x:act[...]", "dx:act[...]", "", "dx=dy dx=x", ""},
    {"geglu", "gate:act[T,N] up:act[T,N]", "y:act[T,N]", "", "y=gate y=up", ""},
    {"gegluBackward", "dy:act[T,N] gate:act[T,N] up:act[T,N]", "dGate:act[T,N] dUp:act[T,N]", "",
     "dGate=gate dUp=up dGate=dy dUp=dy", ""},
    {"relu", "x:act[...]", "y:act[...]", "", "y=x", ""},
    {"reluBackward", "dy:act[...] x:act[...]", "dx:act[...]", "", "dx=dy dx=x", ""},
    {"scaledAdd", "a:act[...] b?:act[...]", "y:act[...]", "alpha", "y=a y=b", ""},
    {"splitHeads", "x:act[T,heads*3*D]", "a:act[T,heads*D] b:act[T,heads*D] c:act[T,heads*D]", "heads", "", ""},
    {"joinHeads", "a:act[T,heads*D] b:act[T,heads*D] c:act[T,heads*D]", "x:act[T,heads*3*D]", "heads", "", ""},
    {"ropeSections", "cos:f32[P,C] sin:f32[P,C] positions:i32[T,G] x:act[T,heads*2*C*G]", "y:act[T,heads*2*C*G]",
     "heads inverse", "y=x", ""},
    {"attentionBiased",
     "q:act[batch*Q,heads*D] k:act[batch*S,kvHeads*D] v:act[batch*S,kvHeads*D] ranges:i32[batch*Q,2] positions:i32[batch*Q] "
     "bias:float[B,heads] buckets:i32[W]",
     "o:act[batch*Q,heads*D] lse:f32[batch*Q,heads]", "batch heads kvHeads scale", "", ""},
    {"attentionBiasedBackward",
     "do:act[batch*Q,heads*D] q:act[batch*Q,heads*D] k:act[batch*S,kvHeads*D] v:act[batch*S,kvHeads*D] "
     "o:act[batch*Q,heads*D] lse:f32[batch*Q,heads] ranges:i32[batch*Q,2] positions:i32[batch*Q] bias:float[B,heads] "
     "buckets:i32[W]",
     "dq:act[batch*Q,heads*D] dk:act[batch*S,kvHeads*D] dv:act[batch*S,kvHeads*D] dBias?:f32[B,heads]",
     "batch heads kvHeads scale", "", ""},
};

const Signature* signatureOf(uint32_t code) { return code == 0 || code >= kCodes ? nullptr : &table[code]; }

bool Words::next() {
  while (*next_ == ' ') next_++;
  word = next_;
  while (*next_ != '\0' && *next_ != ' ') next_++;
  length = static_cast<int>(next_ - word);
  return length > 0;
}

bool Words::is(const char* text) const { return std::strncmp(word, text, length) == 0 && text[length] == '\0'; }

int countWords(const char* text) {
  int count = 0;
  for (Words words(text); words.next();) count++;
  return count;
}

}  // namespace tunebook
