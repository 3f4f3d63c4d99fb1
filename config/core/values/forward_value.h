/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * Turns `backend`, whose allowed_list is complete, into one that sends each request to the host that the
 * request names. False: no memory.
 */
bool forward_value_backend(struct decoder *d, struct backend *backend);
