// Two kinds of thin products. Where sums run along the wide factor's rows, a vector holds parts of one sum, and they are added up at the
// end:        out[i, r] = x[i] · thin[r]                   an adapter's h = x Aᵀ and g = dy B
// Where sums run down its columns, a vector holds neighbouring sums:
//             out[r, j] (or [j, r]) = sum over t of thin[t, r] * x[t, j]         the gradients of A and B

#include "thin.h"

#include "write.h"

namespace tunebook::TB_ISA {
namespace {

/** Numbers of the thin side that are multiplied at once; the last ones may be 0. */
constexpr int64_t kRanks = 8;

#if defined(__AVX512F__)
constexpr int kRowsAtOnce = 2;  // 16 sums, 2 rows and 1 column of 32 registers
#else
constexpr int kRowsAtOnce = 1;  // 8 sums, 1 row and 1 column of 16 registers
#endif

/** Lanes l of a and of b in turns: blocks of `Block` lanes whose number is even (or odd) in both, a's before b's. */
template <int Block, int Odd, size_t... Lane>
Floats blocksOf(Floats a, Floats b, std::index_sequence<Lane...>) {
  constexpr auto from = [](int lane) {
    const int group = lane / (2 * Block) * (2 * Block), within = lane % (2 * Block);
    return group + Odd * Block + (within < Block ? within : within - Block + static_cast<int>(kLanes));
  };
  return __builtin_shufflevector(a, b, from(Lane)...);
}

/** Lane i of the result is the sum of the lanes of v[i]. */
template <int Count = kLanes>
Floats sumsOf(Floats* v) {
  if constexpr (Count == 1) {
    return v[0];
  } else {
    constexpr int kHalf = Count / 2;
    using Lanes = std::make_index_sequence<kLanes>;
#pragma GCC unroll 8
    for (int i = 0; i < kHalf; i++) v[i] = blocksOf<kHalf, 0>(v[i], v[i + kHalf], Lanes{}) + blocksOf<kHalf, 1>(v[i], v[i + kHalf], Lanes{});
    return sumsOf<kHalf>(v);
  }
}

/** The thin factor for sums along rows: for each kLanes steps and each rank, a vector. Ranks first .. first + kRanks - 1. */
template <class Layout>
void packThin(const Factor& factor, int64_t first, int64_t count, int64_t k, uint32_t* out) {
  constexpr int64_t kAtOnce = kLanes * Layout::kPerStep, kSide = kLanes < kRanks ? kLanes : kRanks;
  const int64_t there = least(kRanks, count - first);
  withType(factor.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* data = reinterpret_cast<const T*>(factor.data);
    for (int64_t at = 0; at < k; at += kAtOnce) {
      const int64_t left = k - at;
      for (int64_t i = 0; i < kRanks; i += kSide, out += kSide * kLanes) {
        Words32 square[kLanes] = {};
        if (!factor.turned) {
          for (int64_t j = 0; j < least(kSide, there - i); j++) {
            square[j] = Layout::along(data + factor.rowAt(first + i + j) + at, left, factor.round);
          }
        } else if (there > i) {
          const T* column = data + first + i;
          for (int64_t s = 0; s < kLanes && s * Layout::kPerStep < left; s++) {
            const int64_t row = at + s * Layout::kPerStep;
            const T* two = row + 1 < k ? column + factor.rowAt(row + 1) : nullptr;
            square[s] = Layout::across(column + factor.rowAt(row), two, least(kSide, there - i), factor.round);
          }
          transpose(square);
        }
        std::memcpy(out, square, sizeof(Words32) * kSide);
      }
    }
  });
}

/** out[R][kRanks] = rows of x by packed ranks. */
template <class Layout, class T, int R>
void multiplyRows(const T* const* x, const uint32_t* thin, int64_t k, bool round, float* out) {
  constexpr int64_t kAtOnce = kLanes * Layout::kPerStep;
  Floats sums[R * kRanks];
#pragma GCC unroll 16
  for (int i = 0; i < R * kRanks; i++) sums[i] = Floats{};
  const auto step = [&](int64_t at, int64_t left) __attribute__((always_inline)) {
    Words32 rows[R];
#pragma GCC unroll 2
    for (int i = 0; i < R; i++) rows[i] = Layout::along(x[i] + at, left, round);
#pragma GCC unroll 8
    for (int j = 0; j < kRanks; j++) {
      Words32 rank;
      std::memcpy(&rank, thin + j * kLanes, sizeof rank);
#pragma GCC unroll 2
      for (int i = 0; i < R; i++) multiplyAdd(Layout{}, sums[i * kRanks + j], rows[i], rank);
    }
    thin += kRanks * kLanes;
  };
  int64_t at = 0;
  for (; at + kAtOnce <= k; at += kAtOnce) step(at, kAtOnce);
  if (at < k) step(at, k - at);
#pragma GCC unroll 4
  for (int i = 0; i < R * kRanks; i += kLanes) store(out + i, sumsOf(sums + i));
}

template <class Layout>
void alongRows(const Product& product, char* workspace, Run& run) {
  const Stretch& stretch = product.stretches[0];
  const int64_t k = stretch.k, passes = divideUp(product.n, kRanks);
  const int64_t panel = kRanks * roundUp(divideUp(k, Layout::kPerStep), kLanes);
  auto* thin = reinterpret_cast<uint32_t*>(workspace);
  for (int64_t pass = 0; pass < passes; pass++) packThin<Layout>(stretch.b, pass * kRanks, product.n, k, thin + pass * panel);
  const Factor& a = stretch.a;
  withType(a.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    run.pieces(product.m, roundUp(divideUp(product.m, 8 * run.pool.threads()), kRowsAtOnce), [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i += kRowsAtOnce) {
        const T* rows[kRowsAtOnce];
        // A last row without a second one is multiplied twice.
        for (int64_t j = 0; j < kRowsAtOnce; j++) rows[j] = reinterpret_cast<const T*>(a.data) + a.rowAt(least(i + j, to - 1));
        for (int64_t pass = 0; pass < passes; pass++) {
          float sums[kRowsAtOnce * kRanks + kLanes];
          multiplyRows<Layout, T, kRowsAtOnce>(rows, thin + pass * panel, k, a.round, sums);
          const int64_t columns = least(kRanks, product.n - pass * kRanks);
          for (int64_t j = 0; j < least(kRowsAtOnce, to - i); j++) writeRow(product, sums + j * kRanks, i + j, pass * kRanks, columns);
        }
      }
    });
  });
}

/** Columns that are summed at once. */
constexpr int64_t kAcross = 2 * kLanes;

/** One step of kAcross columns in two vectors, and in which of their lanes a column is. */
template <class Layout, class T>
struct Across {
  static void read(const T* one, const T* two, bool round, Words32 (&out)[2]) {
    out[0] = Layout::across(one, two, kLanes, round);
    out[1] = Layout::across(one + kLanes, two ? two + kLanes : nullptr, kLanes, round);
  }
  static int64_t place(int64_t column) { return column; }
};

/** Numbers of 16 bits lie two in a word: columns of even number make one vector, those of odd number the other. */
template <class Layout>
struct Across<Layout, bf16> {
  static void read(const bf16* one, const bf16* two, bool, Words32 (&out)[2]) {
    Words32 a, b = {};
    std::memcpy(&a, one, sizeof a);
    if (Layout::kPerStep == 1) {
      out[0] = a << 16;
      out[1] = a & 0xffff0000u;
      return;
    }
    if (two) std::memcpy(&b, two, sizeof b);
    out[0] = (a & 0x0000ffffu) | (b << 16);
    out[1] = (a >> 16) | (b & 0xffff0000u);
  }
  static int64_t place(int64_t column) { return column / 2 + column % 2 * kLanes; }
};

/** sums[kRanks][kAcross] += packed ranks by rows k0 .. k1 - 1 of columns from `first` on; at Across::place of its number. */
template <class Layout, class T>
void multiplyColumns(const Factor& wide, int64_t first, int64_t columns, int64_t k0, int64_t k1, const uint32_t* thin, float* sums) {
  constexpr int64_t kAhead = 32 * Layout::kPerStep;
  Floats parts[kRanks][2];
#pragma GCC unroll 8
  for (int i = 0; i < kRanks; i++) parts[i][0] = parts[i][1] = Floats{};
  const T* data = reinterpret_cast<const T*>(wide.data) + first;
  T edge[2][kAcross] = {};
  for (int64_t k = k0; k < k1; k += Layout::kPerStep, thin += kRanks) {
    const T* one = data + wide.rowAt(k);
    const T* two = Layout::kPerStep == 2 && k + 1 < k1 ? data + wide.rowAt(k + 1) : nullptr;
    if (k + kAhead + Layout::kPerStep <= k1) {
      for (int64_t i = 0; i < Layout::kPerStep; i++) {
        const auto* later = reinterpret_cast<const char*>(data + wide.rowAt(k + kAhead + i));
        __builtin_prefetch(later, 0, 2);
        if (sizeof(T) * kAcross > 64) __builtin_prefetch(later + 64, 0, 2);
      }
    }
    if (columns < kAcross) {
      std::memcpy(edge[0], one, columns * sizeof(T));
      if (two) std::memcpy(edge[1], two, columns * sizeof(T));
      one = edge[0];
      if (two) two = edge[1];
    }
    Words32 words[2];
    Across<Layout, T>::read(one, two, wide.round, words);
#pragma GCC unroll 8
    for (int i = 0; i < kRanks; i++) {
      const Words32 rank = Words32{} + thin[i];
      multiplyAdd(Layout{}, parts[i][0], rank, words[0]);
      multiplyAdd(Layout{}, parts[i][1], rank, words[1]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRanks; i++) {
    for (int j = 0; j < 2; j++) {
      float* place = sums + i * kAcross + j * kLanes;
      store(place, load(place) + parts[i][j]);
    }
  }
}

template <class Layout>
void downColumns(const Product& product, char* workspace, Run& run) {
  const Stretch& stretch = product.stretches[0];
  const bool turned = product.n < product.m;  // the thin side is b, and the sums of one rank make a column of the result
  const Factor &thin = turned ? stretch.b : stretch.a, &wide = turned ? stretch.a : stretch.b;
  const int64_t ranks = turned ? product.n : product.m, columns = turned ? product.m : product.n;
  const int64_t k = stretch.k, passes = divideUp(ranks, kRanks), panel = kRanks * divideUp(k, Layout::kPerStep);
  auto* packed = reinterpret_cast<uint32_t*>(workspace);
  for (int64_t pass = 0; pass < passes; pass++) {
    pack<Layout, kRanks>(thin, pass * kRanks, least(kRanks, ranks - pass * kRanks), 0, k, packed + pass * panel);
  }
  // Sums of so many steps are added up, as in the blocked product.
  constexpr int64_t kSteps = kPanelBytes / 4;
  withType(wide.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    run.pieces(columns, kAcross, [&](int64_t first, int64_t last) {
      for (int64_t pass = 0; pass < passes; pass++) {
        float sums[kRanks * kAcross] = {}, row[kAcross] = {};
        for (int64_t k0 = 0; k0 < k; k0 += kSteps * Layout::kPerStep) {
          const uint32_t* from = packed + pass * panel + k0 / Layout::kPerStep * kRanks;
          multiplyColumns<Layout, T>(wide, first, last - first, k0, least(k, k0 + kSteps * Layout::kPerStep), from, sums);
        }
        const int64_t here = least(kRanks, ranks - pass * kRanks);
        const auto sumAt = [&](int64_t rank, int64_t column) { return sums[rank * kAcross + Across<Layout, T>::place(column)]; };
        if (turned) {
          float across[kRanks + kLanes] = {};
          for (int64_t j = 0; j < last - first; j++) {
            for (int64_t i = 0; i < here; i++) across[i] = sumAt(i, j);
            writeRow(product, across, first + j, pass * kRanks, here);
          }
        } else {
          for (int64_t i = 0; i < here; i++) {
            for (int64_t j = 0; j < kAcross; j++) row[j] = sumAt(i, j);
            writeRow(product, row, pass * kRanks + i, first, last - first);
          }
        }
      }
    });
  });
}

}  // namespace

/** Whether a factor can be read number by number where it lies. */
static bool isPlain(DType type) { return type == DType::f32 || type == DType::bf16 || type == DType::f16; }

bool isThin(const Product& product) {
  const Stretch& stretch = product.stretches[0];
  if (product.count != 1 || !isPlain(stretch.a.type) || !isPlain(stretch.b.type)) return false;
  if (stretch.a.turned) return stretch.b.turned && least(product.m, product.n) <= kThinMost;
  return product.n <= kThinMost;
}

void multiplyThin(const Product& product, char* workspace, Run& run) {
  const auto with = [&](auto layout) {
    using Layout = decltype(layout);
    if (product.stretches[0].a.turned) downColumns<Layout>(product, workspace, run);
    else alongRows<Layout>(product, workspace, run);
  };
  if (product.half) with(Products{});
  else with(Singles{});
}

}  // namespace tunebook::TB_ISA
