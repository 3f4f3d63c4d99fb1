/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * The output of `headgate bpf status`: what this kernel allows and why not more, our programs with their
 * attachments, maps and fill, the processes that have the maps open (none: pins keep them), and the reader of
 * each ring. With pin_dir it shows only what is pinned there, which needs access to the files; without, all
 * our programs on this host, which needs CAP_SYS_ADMIN. Returns 0, or -errno with the reason in `out`
 * instead, also for pins that no gateway of this version could use.
 */
int sockmap_status(const char *pin_dir, struct text *out);
