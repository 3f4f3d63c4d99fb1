/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Makes the library use the program's allocator: a worker keeps small blocks of it for its next handshake
 * (mem_keep()). Call it before any other function of the library, which takes no other allocator once it
 * holds memory; it then works as before, only slower.
 */
void tls_share_memory(void);
