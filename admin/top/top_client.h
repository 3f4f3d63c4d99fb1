/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * Sends one request without body to the admin port of a gateway: blocking, with a limit for silence. For
 * command-line clients only. `where` is an address as in admin_address_parse(); tries all addresses of
 * "localhost". Returns 0 and appends the body, -ESRCH for a response with status 404, or -errno and appends
 * one line for the operator to `error`.
 */
int top_fetch(struct span where, const char *method, const char *path, struct text *body, struct text *error);
