// Blocks of the product: rows are packed once for all columns, a panel of columns is packed by the thread that multiplies it.
//
//     for each block of at most kBlock rows
//       all threads: pack the rows' panels, all of k                    -> workspace, shared
//       all threads, a patch of at most kPatchCols columns (and a run of row panels) at a time:
//         for each piece of k (whose packed rows fit the second-level cache)
//           for each panel of the columns: pack it (it fits the first-level cache), multiply with every row panel
//         write the finished patch out, rounded

#include "product.h"

#include "amx.h"
#include "thin.h"
#include "write.h"

namespace tunebook::TB_ISA {
namespace {

// Tile: Vectors of tile.h, or Tiles of amx.h.

/** What bf16 activations are multiplied with. */
#if defined(__AMX_BF16__)
using HalfProducts = Tiles;
#else
using HalfProducts = Vectors<Products>;
#endif

/** How long a panel over k is. */
template <class Tile>
int64_t stepsOf(int64_t k) {
  return roundUp(divideUp(k, Tile::kPerStep), Tile::kWholeSteps);
}

/** Sum of steps of all stretches: how long a packed row is. */
template <class Tile>
int64_t stepsOf(const Product& product) {
  int64_t steps = 0;
  for (int i = 0; i < product.count; i++) steps += stepsOf<Tile>(product.stretches[i].k);
  return steps;
}

/** Steps of one piece of k: its packed columns fit the first-level cache. */
constexpr int64_t kPieceSteps = kPanelBytes / 4;

/**
 * body(stretch, first step of it, steps, k0, k1, packed rows) for the pieces of k in their order. The panels of a piece lie side by side:
 * panels whole stretches apart would share sets of the second-level cache and push each other out.
 */
template <class Tile, class Words, class Body>
void eachPiece(const Product& product, int64_t panels, Words* packed, const Body& body) {
  for (int i = 0; i < product.count; i++) {
    const Stretch& stretch = product.stretches[i];
    const int64_t steps = stepsOf<Tile>(stretch.k);
    for (int64_t s = 0; s < steps; s += kPieceSteps) {
      const int64_t here = least(kPieceSteps, steps - s);
      body(stretch, s, here, s * Tile::kPerStep, least(stretch.k, (s + here) * Tile::kPerStep), packed);
      packed += panels * here * Tile::kRows;
    }
  }
}

/** The part of the output that one task makes. */
struct Patch {
  int64_t firstPanel, lastPanel;  // of rows, within the block
  int64_t column, columns;
};

template <class Tile>
void multiplyPatch(const Product& product, const Patch& patch, int64_t blockRow, int64_t blockRows, const uint32_t* packedRows,
                   uint32_t* columnPanel, float* sums) {
  const auto piece = [&](const Stretch& stretch, int64_t s, int64_t steps, int64_t k0, int64_t k1, const uint32_t* packed) {
    for (int64_t j = 0; j < patch.columns; j += Tile::kColumns) {
      const int64_t columns = least(Tile::kColumns, patch.columns - j);
      Tile::packColumns(stretch.b, patch.column + j, columns, k0, k1, columnPanel);
      for (int64_t panel = patch.firstPanel; panel < patch.lastPanel; panel++) {
        Tile::multiply(least(Tile::kRows, blockRows - panel * Tile::kRows), columns, steps, packed + panel * steps * Tile::kRows,
                       columnPanel, sums + panel * Tile::kRows * kPatchCols + j, kPatchCols, s == 0 ? stretch.beta : 1.0f);
      }
    }
  };
  eachPiece<Tile>(product, divideUp(blockRows, Tile::kRows), packedRows, piece);
  const int64_t end = least(blockRows, patch.lastPanel * Tile::kRows);
  for (int64_t row = patch.firstPanel * Tile::kRows; row < end; row++) {
    writeRow(product, sums + row * kPatchCols, blockRow + row, patch.column, patch.columns);
  }
}

template <class Tile>
void multiplyAs(const Product& product, char* workspace, Run& run) {
  const int64_t blockMost = roundUp(least(product.m, Tile::kBlock), Tile::kRows);
  auto* packedRows = reinterpret_cast<uint32_t*>(workspace);
  char* scratch = workspace + aligned(4 * stepsOf<Tile>(product) * blockMost);
  const int64_t sumBytes = aligned(4 * kPatchCols * blockMost), scratchBytes = kTileCols * kPanelBytes + sumBytes;
  const int64_t columnPanels = divideUp(product.n, Tile::kColumns);
  for (int64_t row = 0; row < product.m && !run.cancelled(); row += Tile::kBlock) {
    const int64_t rows = least(Tile::kBlock, product.m - row), panels = divideUp(rows, Tile::kRows);
    run.each(panels, [&](int64_t panel, int) {
      const int64_t first = row + panel * Tile::kRows;
      const int64_t count = least(Tile::kRows, row + rows - first);
      const auto piece = [&](const Stretch& stretch, int64_t, int64_t steps, int64_t k0, int64_t k1, uint32_t* packed) {
        Tile::packRows(stretch.a, first, count, k0, k1, packed + panel * steps * Tile::kRows);
      };
      eachPiece<Tile>(product, panels, packedRows, piece);
    });
    // Every thread gets a few patches: narrower ones where columns are few, and then parts of the rows. No sum depends on how.
    const int64_t wanted = run.pool.threads() > 1 ? 3 * run.pool.threads() : 1;
    const int64_t widest = kPatchCols / Tile::kColumns, width = most(1, least(widest, columnPanels / wanted)) * Tile::kColumns;
    const int64_t patches = divideUp(product.n, width);
    const int64_t parts = most(1, least(divideUp(wanted, patches), panels / Tile::kFewestPanels));
    run.each(patches * parts, [&](int64_t task, int thread) {
      const int64_t part = task % parts, column = task / parts * width;
      const Patch patch{panels * part / parts, panels * (part + 1) / parts, column, least(width, product.n - column)};
      [[maybe_unused]] const typename Tile::Held held;
      char* own = scratch + thread * scratchBytes;
      multiplyPatch<Tile>(product, patch, row, rows, packedRows, reinterpret_cast<uint32_t*>(own),
                          reinterpret_cast<float*>(own + kTileCols * kPanelBytes));
    });
  }
}

}  // namespace

void multiply(const Product& product, char* workspace, Run& run) {
  if (isThin(product)) multiplyThin(product, workspace, run);
  else if (product.half) multiplyAs<HalfProducts>(product, workspace, run);
  else multiplyAs<Vectors<Singles>>(product, workspace, run);
}

}  // namespace tunebook::TB_ISA
