// Operands of every op, in the language of signatures.ts. Read by decode.cpp and validate.cpp.
#pragma once

#include "program.h"

namespace tunebook {

/**
 * Operands are written "name:dtype[sizes]", with "?" after the name of an optional one. Dtypes: `act` one floating dtype
 * for all such operands of the op, `act/f32` the same or f32, `float` any floating dtype, `float/quantized` one of those or of
 * quantized.h, `any` whatever is not quantised.
 * Sizes are numbers, attributes, names bound where first met, or products of these; "[...]" is one shape for all that say so.
 */
struct Signature {
  const char* name;
  const char* inputs;
  const char* outputs;
  const char* attrs;
  /** "output=input" pairs that may share memory. */
  const char* inPlace;
  /** Two optional operands that come together. */
  const char* together;
};

/** nullptr when no op has this code. */
const Signature* signatureOf(uint32_t code);

/** Walks over the words of a list separated by blanks: `while (words.next())` gives word and length. */
struct Words {
  explicit Words(const char* text) : next_(text) {}
  bool next();
  bool is(const char* text) const;

  const char* word = nullptr;
  int length = 0;

 private:
  const char* next_;
};

int countWords(const char* text);

}  // namespace tunebook
