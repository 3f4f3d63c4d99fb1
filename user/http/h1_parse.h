/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/http/framing.h"
#include "user/http/head.h"
#include "user/http/refusal.h"

/*
 * Parses a scanned head into a struct: splits lines, checks the grammar of single fields (Host,
 * Content-Length, Transfer-Encoding, Expect, target forms), and lets strict llhttp read the same bytes: if
 * the two disagree, the message is refused. The only code that uses llhttp.
 *
 * `bytes` is exactly the head (head_scan: head_bytes) and must live as long as the result: the caller copies
 * it into `arena` first. Returns HTTP_ERROR_NONE or the reason; *ret_head and *ret_framing are unspecified on
 * refusal. Bytes that head_scan did not accept are refused, too, for an unspecified reason; its limits are
 * not checked again.
 */
enum http_error h1_parse_request(struct span bytes, struct arena *arena, struct request_head *ret_head,
				 struct body_framing *ret_framing);
enum http_error h1_parse_response(struct span bytes, struct arena *arena, struct response_head *ret_head);
