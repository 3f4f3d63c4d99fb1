/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"

/*
 * Goes on with the stream that another process had, whose entry is in the restart state at this descriptor
 * (restart_entry_resumable()): client, stream and upstream as they were, in the lanes they were in. Takes
 * both descriptors; what cannot go on, since its route is no more or its numbers do not add up, is reset.
 * True: it goes on.
 */
bool stream_resume(struct proxy *proxy, struct proxy_bind *bind, int client_fd);
/* Are its listener, its route and where it went to be found there? Else stream_resume() would reset it. */
bool stream_has_place(const struct bind *bind, const struct restart_entry *entry);
