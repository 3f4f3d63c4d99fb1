/* SPDX-License-Identifier: Apache-2.0 */
/* The program with rules that a test can switch off before it is loaded. Never part of headgate. */
#include "tests/bpf/broken.h"

/* The only constant of the object: enum break_rule bits. */
const volatile unsigned int broken_rules = 0;
#define BROKEN(rule) (broken_rules & (rule))

static void verdict_pause(void);
#define PAUSE(rule)                                                                                          \
	do {                                                                                                 \
		if (BROKEN(rule))                                                                            \
			verdict_pause();                                                                     \
	} while (0)

#include "bpf/sockmap.bpf.c"

static long pause_step(__u32 iteration, __u64 *until_ns)
{
	return bpf_ktime_get_ns() >= *until_ns;
}

static void verdict_pause(void)
{
	__u64 until_ns = bpf_ktime_get_ns() + 10000000;

	bpf_loop(1 << 20, pause_step, &until_ns, 0);
}
