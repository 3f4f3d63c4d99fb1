/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of the same-host lanes with rules that a test can switch off. Never part of headgate. */
#include "tests/bpf/broken.h"

/* The only constant of the object: enum local_break_rule bits. */
const volatile unsigned int broken_rules = 0;
#define BROKEN(rule) (broken_rules & (rule))

#include "bpf/local.bpf.c"
