/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/http/head_scan.h"
#include "user/relay/conn.h"

/* Receives one head of a connection, scanning every byte once. */
enum head_read {
	HEAD_READ_MORE, /* nothing more to receive now */
	HEAD_READ_DONE,
	HEAD_READ_BAD, /* scan->bad */
	HEAD_READ_EOF, /* buf_len(&conn->in) != 0: in the middle of a head */
	HEAD_READ_ERROR, /* conn->error */
	HEAD_READ_MEMORY,
};

/*
 * Reads at most `most` bytes at a time into scratch, which is at least that large. On DONE *ret_head is a
 * copy in `arena`, and the bytes after the head wait in conn->in. After MORE, call again with the same scan;
 * initialize the scan for the next head.
 */
enum head_read head_read(struct conn *conn, struct head_scan *scan, const struct head_limits *limits,
			 char *scratch, size_t most, struct arena *arena, struct span *ret_head);
