/* SPDX-License-Identifier: Apache-2.0 */
/* The program with rules that a test can switch off before it is loaded. Never part of headgate. */
#include "tests/bpf/broken.h"

/* The only constant of the object: enum break_rule bits. */
const volatile unsigned int broken_rules = 0;
#define BROKEN(rule) (broken_rules & (rule))

#include "bpf/gate.bpf.c"
