/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"

/*
 * Resumes the stream of another process whose entry is at this descriptor (restart_entry_resumable()):
 * client, stream and upstream, in the lanes they were in. Takes both descriptors. A stream that cannot be
 * resumed, because its route was removed or its entry is inconsistent, is reset. True: it was resumed.
 */
bool stream_resume(struct proxy *proxy, struct proxy_bind *bind, int client_fd);
/*
 * True if listener, route and endpoint of the entry are in the configuration, at this bind; otherwise
 * stream_resume() would reset the stream.
 */
bool stream_has_place(const struct snapshot *snapshot, const struct bind *bind,
		      const struct restart_entry *entry);
