// SPDX-License-Identifier: GPL-2.0-only
/* The XDP program without the generation word, for bench/word.c to set beside it. */
#include "vmlinux/vmlinux.h"

/* The one generation that there is; bench/fixed.sed puts it in the word's place. */
const volatile __u64 bench_generation;

#include "bpf/xdp.bpf.c"
