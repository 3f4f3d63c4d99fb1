/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/auth/password_format.h"

/*
 * Verifies passwords. Takes 0.1 ms to some seconds, by the form of the hash: only helper threads call it
 * (password_checker.h).
 */
struct password_work; /* the memory of one thread, 32 KiB for crypt_rn(3); wiped after each use */

struct password_work *password_work_create(void); /* NULL without memory */
void password_work_free(struct password_work *work);
/*
 * 1 if `password` has this hash, 0 if not, or -errno if that could not be computed. hash: accepted by
 * password_format_check(). A password that is longer than PASSWORD_BYTES or has a NUL byte is never right:
 * crypt(3) would read a part of it only.
 */
int password_hash_verify(struct password_work *work, struct span hash, struct span password);
/*
 * 0 if libcrypt knows this form, else -ENOTSUP: distributions build it with different ones. Computes nothing.
 */
int password_hash_is_known(struct span hash);
