/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * What libbpf has to say while a thread loads programs: the only place where it tells which step failed. One
 * thread of the process loads at a time.
 */
void complaint_begin(void);
void complaint_end(void);

/* One sentence: the step, the error, and how to get the privileges or what libbpf complained about. */
void complaint_explain(struct text *why, const char *step, int error);
