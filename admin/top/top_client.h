/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * Sends one GET to the admin port of a gateway: blocking, with a limit for silence. For command-line clients
 * only. `where` is an address as in admin_address_parse(); tries all addresses of "localhost". Returns 0 and
 * appends the body, or -errno and appends one line for the operator to `error`.
 */
int top_fetch(struct span where, const char *path, struct text *body, struct text *error);
