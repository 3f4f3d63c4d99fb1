/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * Makes it a backend that sends each request to the host that the request names. allowed_list is complete.
 * False: no memory.
 */
bool forward_value_backend(struct decoder *d, struct backend *backend);
