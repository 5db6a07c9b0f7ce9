// exp() in doubles: vectorisable, and the same bits on every machine, which libm does not promise.
#pragma once

#include <cstdint>
#include <cstring>

namespace ssd {

// exp(x) within 1.5 ulp for x in [-708, 709]; anything for other x.
//
// Cody and Waite's reduction x = n ln 2 + r with |r| <= ln 2 / 2, the Taylor series to r^13 (its remainder is below
// 5e-18) in Estrin's order, and n added to the exponent bits.
static inline __attribute__((always_inline)) double exponential_in_range(double x) {
    constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves a whole number in the low bits
    const double shifted = x * 1.4426950408889634 + kRound;
    const double n = shifted - kRound;
    const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    const double r2 = r * r, r4 = r2 * r2;
    const double c01 = 1.0 + r, c23 = 1.0 / 2 + r * (1.0 / 6);
    const double c45 = 1.0 / 24 + r * (1.0 / 120), c67 = 1.0 / 720 + r * (1.0 / 5040);
    const double c89 = 1.0 / 40320 + r * (1.0 / 362880), cab = 1.0 / 3628800 + r * (1.0 / 39916800);
    const double ccd = 1.0 / 479001600 + r * (1.0 / 6227020800.0);
    const double mantissa = (c01 + r2 * c23) + r4 * ((c45 + r2 * c67) + r4 * ((c89 + r2 * cab) + r4 * ccd));
    std::uint64_t exponent, bits;
    std::memcpy(&exponent, &shifted, sizeof exponent);
    std::memcpy(&bits, &mantissa, sizeof bits);
    bits += exponent << 52;
    double result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

// exp(x) for every x: +inf above 709.7, 0 below -708, NaN for NaN.
inline double exponential(double x) {
    if (!(x > -708.0)) return x == x ? 0.0 : x;
    if (x > 709.0)
        return x > 709.782712893384 ? __builtin_huge_val() : exponential_in_range(x - 1.0) * 2.718281828459045;
    return exponential_in_range(x);
}

}  // namespace ssd
