// Products with one thin side, such as an adapter's rank. They do little with each number of the wide factor, so that one is read once,
// where it lies; only the thin one is packed.
#pragma once

#include "product.h"

namespace tunebook::TB_ISA {

/** Whether a product is made this way: by its shape alone. */
bool isThin(const Product& product);

/** As multiply, for a product that is thin, in the same workspace. */
void multiplyThin(const Product& product, char* workspace, Run& run);

}  // namespace tunebook::TB_ISA
