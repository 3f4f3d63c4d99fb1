/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * How much a source may send while its gate is closed: all of that goes through user space, and stays in
 * kernel memory for as long as the target stands still. Autotuning would make the receive buffer of a
 * redirected source as large as the system allows, because nothing ever waits in it while the gate is open. A
 * near source reaches full speed with a small one, so it gets that; a far one keeps its autotuning, which its
 * long path needs.
 *
 * Smaller still is no gain: segments that do not fit a filled buffer are dropped, and a drop costs the sender
 * a retransmission time-out.
 */
/* Least round trip of a near source. Not the smoothed one: a conversation of single bytes measures the other
 * side's delayed acknowledgements. */
#define WINDOW_NEAR_US 1000u
#define WINDOW_BUFFER_BYTES (512 * 1024) /* SO_RCVBUF; net.core.rmem_max may make it less */

/* Before the socket becomes a source. A failure costs nothing but memory. */
void window_limit(int source_fd);

/* What may wait unread behind a backlog on this socket: twice its receive buffer, and a little. */
uint32_t window_unread_max(int fd);
