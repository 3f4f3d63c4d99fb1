/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/front.h"

/* A request came on a stream of the client's connection: makes a struct stream of it. Takes h2_stream. */
void front_h2_begin(struct client *client, struct h2_stream *h2_stream);
