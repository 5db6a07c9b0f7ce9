#if defined(__x86_64__)
#define KERNELS_VARIANT avx2
#define KERNELS_TABLE kernels_avx2
#define KERNELS_REGISTER 32
#define KERNELS_TARGET __attribute__((target("avx2")))
#include "kernels_body.h"
#endif
