/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/gateway.h"

/*
 * Puts changed endpoints of Services of the API server into force: a copy of the snapshot in force with other
 * endpoints goes to all workers. The generation stays, and streams that run keep the endpoints that they
 * began with. 0, or a negative errno if everything has to be loaded again; then nothing has changed.
 */
int endpoint_update(struct gateway *gateway);
