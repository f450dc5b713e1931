// How much scratch each op needs, and where its parts lie. The same sums as workspace.ts, which the planner asks; no cpuid in it.
#pragma once

#include "program.h"

namespace tunebook {

// Blocks of the matrix product. The tiles of vectors divide these.
constexpr int64_t kTileRows = 12;
constexpr int64_t kTileCols = 32;
/** Rows packed at a time. */
constexpr int64_t kBlockRows = 43 * kTileRows;
/** Tiles of AMX are squares of this side, in two by two quarters; products with them pack so many rows at a time. */
constexpr int64_t kTileSide = 32;
constexpr int64_t kTiledBlockRows = 16 * kTileSide;
/** Room for k in f32, rounded up to this, is also room for it in bf16, rounded up to the 32 of a tile. */
constexpr int64_t kTileSteps = 16;
/** Columns that one thread sums at a time. */
constexpr int64_t kPatchCols = 4 * kTileCols;
/** Bytes of one column of a packed panel. */
constexpr int64_t kPanelBytes = 1024;
/** Products with at most so many columns (or rows) pack those alone; at least so many packed rows have room, whatever the shape. */
constexpr int64_t kThinMost = 16;
/** Products with at most so many rows read the matrix once, row by row, without packing. */
constexpr int64_t kFewRows = 8;
/** They have room for rows whose length is a multiple of this: the codes of 4 bits in the widest vector. */
constexpr int64_t kFewStep = 128;

// Blocks of attention.
constexpr int64_t kQueries = 8 * kTileRows;
constexpr int64_t kKeys = 3 * kTileCols;
/** Tiles of keys may begin at any key and are rounded up to whole ones, of 4 at most. */
constexpr int64_t kKeyRows = kKeys + 4;
/** The backward gives whole key heads to its tasks when each thread gets so many of them. */
constexpr int64_t kHeadsPerThread = 2;

// Blocks of attention with a number by distance.
constexpr int64_t kBiasedQueries = 32;
constexpr int64_t kBiasedKeys = 64;
/** Rows of blocks are whole vectors of every instruction set. */
constexpr int64_t kBiasedWidth = 16;

/** headLoss multiplies so many columns of the logits at a time when it makes dx. */
constexpr int64_t kVocabBlock = 4096;
constexpr int64_t kSquaresBlock = 4096;

inline int64_t aligned(int64_t bytes) { return roundUp(bytes, kAlignment); }

/** Scratch of a product with `m` rows, over `k` in all (each part of k rounded up to kTileSteps). */
int64_t productBytes(int64_t m, int64_t k, int threads);

/** Scratch of one thread in attention and in its backward, which keeps sums of `keyRows` keys. */
int64_t attentionBytes(int64_t headDim);
int64_t attentionBackwardBytes(int64_t headDim, int64_t keyRows);
int64_t attentionKeyRows(int64_t keyHeads, int64_t keys, int threads);
/** Scratch of one thread in attentionBiased and its backward; and of the backward, shared by all: the sums by bucket. */
int64_t biasedBytes(int64_t headDim, int64_t distances);
int64_t biasedSumsBytes(const Op& op);

int64_t workspaceNeeded(const Op& op, int threads);

}  // namespace tunebook
