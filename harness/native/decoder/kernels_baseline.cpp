// What every machine of the architecture has: SSE2 on x86-64, NEON on AArch64.
#define KERNELS_VARIANT baseline
#define KERNELS_TABLE kernels_baseline
#define KERNELS_REGISTER 16
#define KERNELS_TARGET
#include "kernels_body.h"
