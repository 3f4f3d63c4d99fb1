/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "bpf/abi.h"

/* Texts of bpf/gate_reasons.def. All strings are static. */
const char *gate_reason_text(enum gate_reason reason); /* label value: "credit" */
const char *gate_reason_explanation(enum gate_reason reason);
/* An equality broke: reset both connections. */
bool gate_reason_is_poison(enum gate_reason reason);
