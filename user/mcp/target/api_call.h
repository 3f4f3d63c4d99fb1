/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_openapi.h"
#include "user/base/text.h"
#include "user/http/fields.h"

/*
 * The request of a call: the arguments of a tool, {path, query, header, body}, as a URL, fields and a body.
 * Only what the document declares is sent. An argument stays within its place: it is percent-encoded, and no
 * value of the path makes a dot segment, a segment that is empty, or one with control bytes.
 */
struct api_call {
	struct arena arena; /* of the fields */
	struct fields fields; /* arguments */
	struct text target; /* path and query */
	struct span body; /* JSON, in the arguments; empty: none */
	struct text why; /* why the arguments are refused: a sentence for the client */
};

void api_call_init(struct api_call *call);
void api_call_done(struct api_call *call);
/*
 * arguments: a validated JSON text, or empty. 0; -EINVAL: refused, see `why`; -ENOMEM. May be used once.
 */
int api_call_make(struct api_call *call, const struct openapi_operation *operation, struct span arguments);
