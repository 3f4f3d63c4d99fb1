/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where memory runs out the kernel ends the process with the highest score. With the keeper everything ends,
 * with a gateway next to nothing. proc(5): oom_score_adj.
 */
enum { OOM_UNKNOWN = -1001 };

/*
 * Lowers the score of this process as far as it may: with CAP_SYS_RESOURCE to where it is never chosen, else
 * back to 0. Returns what it was, OOM_UNKNOWN without /proc: for oom_restore() of a child.
 */
int oom_protect(void);
void oom_restore(int score);
