/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

/* Says in the restart state what the connection is doing (user/restart/state.h); nothing without a keeper. */
void client_set_conn_status(const struct client *client);
/* Before bytes are received that may be of a request. */
void client_set_reading(const struct client *client);
