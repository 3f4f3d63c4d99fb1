/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

/* Events of clients, which create, run and end streams. */
extern const struct client_handler stream_handler;
