// exp() in doubles: vectorisable, and the same bits on every machine, which libm does not promise.
#pragma once

#include <cstdint>
#include <cstring>

namespace ssd {

// x becomes exp(x), within 1.5 ulp for x in [-708, 709]; anything for other x.
//
// Cody and Waite's reduction x = n ln 2 + r with |r| <= ln 2 / 2, the Taylor series to r^13 (its remainder is below
// 5e-18) in Estrin's order, and n added to the exponent bits.
//
// Real is double or a vector of them, Bits as many 64-bit unsigned integers. By reference, so that no vector type is
// part of a calling convention.
template <typename Real, typename Bits>
static inline __attribute__((always_inline)) void exponential_in_range(Real& x) {
    constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves a whole number in the low bits
    const Real shifted = x * 1.4426950408889634 + kRound;
    const Real n = shifted - kRound;
    const Real r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    const Real r2 = r * r, r4 = r2 * r2;
    const Real c01 = 1.0 + r, c23 = 1.0 / 2 + r * (1.0 / 6);
    const Real c45 = 1.0 / 24 + r * (1.0 / 120), c67 = 1.0 / 720 + r * (1.0 / 5040);
    const Real c89 = 1.0 / 40320 + r * (1.0 / 362880), cab = 1.0 / 3628800 + r * (1.0 / 39916800);
    const Real ccd = 1.0 / 479001600 + r * (1.0 / 6227020800.0);
    const Real mantissa = (c01 + r2 * c23) + r4 * ((c45 + r2 * c67) + r4 * ((c89 + r2 * cab) + r4 * ccd));
    Bits exponent, bits;
    std::memcpy(&exponent, &shifted, sizeof exponent);
    std::memcpy(&bits, &mantissa, sizeof bits);
    bits += exponent << 52;
    std::memcpy(&x, &bits, sizeof x);
}

}  // namespace ssd
