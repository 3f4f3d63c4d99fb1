/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * From now on the library takes its memory where everybody takes it: a worker keeps small blocks of it for
 * its next handshake (mem_keep()). Before anything else is asked of the library: it takes no other allocator
 * when it holds memory, and then works as before, only slower.
 */
void tls_share_memory(void);
