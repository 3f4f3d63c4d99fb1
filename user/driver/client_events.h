/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

/* What comes from clients begins streams, moves and ends them. */
extern const struct client_handler stream_handler;
