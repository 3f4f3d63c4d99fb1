/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * One GET to the admin port of a gateway: blocking, with a bound on silence. For the command-line clients
 * only. `where` is an address as in admin_address_parse(); all of "localhost" are tried. 0 and the body
 * appended, or -errno with one line for the operator appended to `error`.
 */
int top_fetch(struct span where, const char *path, struct text *body, struct text *error);
