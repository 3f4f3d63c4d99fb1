/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

/* Sets the connection status in the restart state (user/restart/state.h); does nothing without a keeper. */
void client_set_conn_status(const struct client *client);
/* Call before receiving bytes that may be part of a request. */
void client_set_reading(const struct client *client);
