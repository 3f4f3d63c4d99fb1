/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * What `headgate bpf status` prints: what this kernel allows and why not, our programs with their
 * attachments, maps and fill, which processes have the maps open (none: pins keep them), and who reads which
 * ring. With pin_dir only what is pinned there, which needs access to the files; without it all of ours on
 * this host, which needs CAP_SYS_ADMIN. 0, or -errno and `out` has the reason instead, also for pins that no
 * gateway of this version could use.
 */
int gate_status(const char *pin_dir, struct text *out);
