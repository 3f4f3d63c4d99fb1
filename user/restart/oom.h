/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * When memory runs out, the kernel kills the process with the highest score. Killing the keeper ends
 * everything, killing a gateway only causes a restart. proc(5): oom_score_adj.
 */
enum { OOM_UNKNOWN = -1001 };

/*
 * Lowers the score of this process as far as permitted: with CAP_SYS_RESOURCE so far that it is never chosen,
 * otherwise to at most 0. Returns the previous score, for oom_restore() in a child; OOM_UNKNOWN without
 * /proc.
 */
int oom_protect(void);
void oom_restore(int score);
