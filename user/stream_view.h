/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"
#include "user/proxy/proxy.h"

/* Copies of a worker's streams for /streams, made by the worker itself. 0 or -ENOMEM with the list empty. */
int stream_view_running(struct proxy *proxy, struct stream_list *ret_list);
int stream_view_history(struct proxy *proxy, struct stream_list *ret_list);
/* Moves everything of `part` behind `all`; part is empty afterwards. On no memory part is dropped: -ENOMEM.
 */
int stream_view_join(struct stream_list *all, struct stream_list *part);
