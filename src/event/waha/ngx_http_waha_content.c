
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_content.h>
#include <ngx_http_waha_json.h>


/* an edited caption of a picture of an album that disappears takes six */

#define NGX_HTTP_WAHA_CONTENT_WRAPPERS  8


static const ngx_http_waha_content_t *ngx_http_waha_content_find_entry(
    const ngx_http_waha_content_t *entry, const char *name);
static cJSON *ngx_http_waha_content_choose(cJSON *proto,
    ngx_http_waha_content_found_t *found);
static ngx_uint_t ngx_http_waha_content_rank(
    const ngx_http_waha_content_t *entry, const cJSON *item);
static cJSON *ngx_http_waha_content_member(const cJSON *object,
    const char *name, size_t len);


#define ngx_http_waha_says(name, type, ...)                                   \
    { ngx_string(name), NGX_HTTP_WAHA_CONTENT_SAYS, ngx_string(type),         \
      { __VA_ARGS__ } }

#define ngx_http_waha_is(what, name)                                          \
    { ngx_string(name), NGX_HTTP_WAHA_CONTENT_##what, ngx_null_string,        \
      { NULL } }


/* NOWEB, GOWS: members of the proto message */

static const ngx_http_waha_content_t  ngx_http_waha_content_proto_table[] = {

    /* content that most messages have */

    ngx_http_waha_says("conversation", "text", ""),
    ngx_http_waha_says("extendedTextMessage", "text", "text"),
    ngx_http_waha_is(BESIDE, "messageContextInfo"),
    ngx_http_waha_says("imageMessage", "image", "caption"),
    ngx_http_waha_says("audioMessage", "audio", NULL),
    ngx_http_waha_says("videoMessage", "video", "caption"),
    ngx_http_waha_says("ptvMessage", "video", "caption"),
    ngx_http_waha_says("documentMessage", "document", "caption"),
    ngx_http_waha_says("stickerMessage", "sticker", NULL),
    ngx_http_waha_says("stickerPackMessage", "sticker", "caption", "name"),
    ngx_http_waha_says("locationMessage", "location", "comment"),
    ngx_http_waha_says("liveLocationMessage", "location", "caption"),
    ngx_http_waha_says("contactMessage", "contacts", NULL),
    ngx_http_waha_says("contactsArrayMessage", "contacts", NULL),

    /* polls, events, invitations, goods and money */

    ngx_http_waha_says("pollCreationMessage", "poll", "name"),
    ngx_http_waha_says("pollCreationMessageV2", "poll", "name"),
    ngx_http_waha_says("pollCreationMessageV3", "poll", "name"),
    ngx_http_waha_says("pollCreationMessageV5", "poll", "name"),
    ngx_http_waha_says("pollCreationMessageV6", "poll", "name"),
    ngx_http_waha_says("pollResultSnapshotMessage", "poll", "name"),
    ngx_http_waha_says("pollResultSnapshotMessageV3", "poll", "name"),
    ngx_http_waha_says("eventMessage", "event", "name", "description"),
    ngx_http_waha_says("eventInviteMessage", "event", "caption", "eventTitle"),
    ngx_http_waha_says("scheduledCallCreationMessage", "event", "title"),
    ngx_http_waha_says("groupInviteMessage", "invite", "caption", "groupName"),
    ngx_http_waha_says("newsletterAdminInviteMessage", "invite",
        "caption",
        "newsletterName"),
    ngx_http_waha_says("newsletterFollowerInviteMessageV2", "invite",
        "caption",
        "newsletterName"),
    ngx_http_waha_says("productMessage", "product",
        "body",
        "product.title",
        "catalog.title"),
    ngx_http_waha_says("orderMessage", "order", "message", "orderTitle"),
    ngx_http_waha_says("invoiceMessage", "payment", "note"),
    ngx_http_waha_says("sendPaymentMessage", "payment",
        "noteMessage.conversation",
        "noteMessage.extendedTextMessage.text"),
    ngx_http_waha_says("requestPaymentMessage", "payment",
        "noteMessage.conversation",
        "noteMessage.extendedTextMessage.text"),
    ngx_http_waha_says("paymentInviteMessage", "payment", NULL),
    ngx_http_waha_says("paymentReminderMessage", "payment", "description"),
    ngx_http_waha_says("splitPaymentMessage", "payment", "description"),

    /* what a business offers to tap */

    ngx_http_waha_says("buttonsMessage", "interactive",
        "contentText",
        "text",
        "header.text"),
    ngx_http_waha_says("listMessage", "interactive", "description", "title"),
    ngx_http_waha_says("interactiveMessage", "interactive",
        "body.text",
        "header.title",
        "carouselMessage.cards.body.text",
        "interactiveMessage.carouselMessage.cards.body.text"),
    ngx_http_waha_says("templateMessage", "template",
        "hydratedTemplate.hydratedContentText",
        "hydratedFourRowTemplate.hydratedContentText",
        "format.hydratedFourRowTemplate.hydratedContentText",
        "interactiveMessageTemplate.body.text",
        "format.interactiveMessageTemplate.body.text"),
    ngx_http_waha_says("highlyStructuredMessage", "template",
        "hydratedHsm.hydratedTemplate.hydratedContentText",
        "elementName"),

    /* what was tapped */

    ngx_http_waha_says("buttonsResponseMessage", "button_reply",
        "selectedDisplayText",
        "response.selectedDisplayText",
        "selectedButtonId"),
    ngx_http_waha_says("templateButtonReplyMessage", "button_reply",
        "selectedDisplayText",
        "selectedId"),
    ngx_http_waha_says("listResponseMessage", "list_reply",
        "title",
        "description",
        "singleSelectReply.selectedRowId"),
    ngx_http_waha_says("interactiveResponseMessage", "flow_reply",
        "body.text",
        "nativeFlowResponseMessage.paramsJson",
        "interactiveResponseMessage.nativeFlowResponseMessage.paramsJson"),

    /* other words */

    ngx_http_waha_says("statusQuestionAnswerMessage", "text", "text"),
    ngx_http_waha_says("questionResponseMessage", "text", "text"),
    ngx_http_waha_says("statusQuotedMessage", "text", "text"),
    ngx_http_waha_says("richResponseMessage", "text",
        "submessages.messageText"),
    ngx_http_waha_says("musicMessage", "music", "embeddedMusic.title"),

    /* changes of another message */

    ngx_http_waha_is(PROTOCOL, "protocolMessage"),
    ngx_http_waha_is(SECRET, "secretEncryptedMessage"),
    ngx_http_waha_is(REACTS, "reactionMessage"),

    /* a message in a message */

    ngx_http_waha_is(ONCE, "viewOnceMessage"),
    ngx_http_waha_is(ONCE, "viewOnceMessageV2"),
    ngx_http_waha_is(ONCE, "viewOnceMessageV2Extension"),
    ngx_http_waha_is(WRAPS, "ephemeralMessage"),
    ngx_http_waha_is(WRAPS, "deviceSentMessage"),
    ngx_http_waha_is(WRAPS, "documentWithCaptionMessage"),
    ngx_http_waha_is(WRAPS, "editedMessage"),
    ngx_http_waha_is(WRAPS, "associatedChildMessage"),
    ngx_http_waha_is(WRAPS, "groupMentionedMessage"),
    ngx_http_waha_is(WRAPS, "botInvokeMessage"),
    ngx_http_waha_is(WRAPS, "lottieStickerMessage"),
    ngx_http_waha_is(WRAPS, "commentMessage"),
    ngx_http_waha_is(WRAPS, "eventCoverImage"),
    ngx_http_waha_is(WRAPS, "statusMentionMessage"),
    ngx_http_waha_is(WRAPS, "pollCreationOptionImageMessage"),
    ngx_http_waha_is(WRAPS, "groupStatusMentionMessage"),
    ngx_http_waha_is(WRAPS, "pollCreationMessageV4"),
    ngx_http_waha_is(WRAPS, "statusAddYours"),
    ngx_http_waha_is(WRAPS, "groupStatusMessage"),
    ngx_http_waha_is(WRAPS, "groupStatusMessageV2"),
    ngx_http_waha_is(WRAPS, "limitSharingMessage"),
    ngx_http_waha_is(WRAPS, "botTaskMessage"),
    ngx_http_waha_is(WRAPS, "questionMessage"),
    ngx_http_waha_is(WRAPS, "botForwardedMessage"),
    ngx_http_waha_is(WRAPS, "questionReplyMessage"),
    ngx_http_waha_is(WRAPS, "newsletterAdminProfileMessage"),
    ngx_http_waha_is(WRAPS, "newsletterAdminProfileStatusMessage"),
    ngx_http_waha_is(WRAPS, "spoilerMessage"),
    ngx_http_waha_is(WRAPS, "botPlatformRegistrationSuccessMessage"),

    /* calls */

    ngx_http_waha_is(CALLS, "call"),
    ngx_http_waha_is(CALLS, "callLogMesssage"),
    ngx_http_waha_is(CALLS, "bcallMessage"),

    /* what apps tell each other */

    ngx_http_waha_is(NOTHING, "senderKeyDistributionMessage"),
    ngx_http_waha_is(NOTHING, "fastRatchetKeySenderKeyDistributionMessage"),
    ngx_http_waha_is(NOTHING, "albumMessage"),
    ngx_http_waha_is(NOTHING, "pollUpdateMessage"),
    ngx_http_waha_is(NOTHING, "pollAddOptionMessage"),
    ngx_http_waha_is(NOTHING, "encReactionMessage"),
    ngx_http_waha_is(NOTHING, "encCommentMessage"),
    ngx_http_waha_is(NOTHING, "encEventResponseMessage"),
    ngx_http_waha_is(NOTHING, "pinInChatMessage"),
    ngx_http_waha_is(NOTHING, "keepInChatMessage"),
    ngx_http_waha_is(NOTHING, "chat"),
    ngx_http_waha_is(NOTHING, "declinePaymentRequestMessage"),
    ngx_http_waha_is(NOTHING, "cancelPaymentRequestMessage"),
    ngx_http_waha_is(NOTHING, "splitPaymentUpdateMessage"),
    ngx_http_waha_is(NOTHING, "requestPhoneNumberMessage"),
    ngx_http_waha_is(NOTHING, "scheduledCallEditMessage"),
    ngx_http_waha_is(NOTHING, "stickerSyncRmrMessage"),
    ngx_http_waha_is(NOTHING, "messageHistoryBundle"),
    ngx_http_waha_is(NOTHING, "messageHistoryNotice"),
    ngx_http_waha_is(NOTHING, "statusNotificationMessage"),
    ngx_http_waha_is(NOTHING, "statusStickerInteractionMessage"),
    ngx_http_waha_is(NOTHING, "conditionalRevealMessage"),
    ngx_http_waha_is(NOTHING, "groupRootKeyShare"),
    ngx_http_waha_is(NOTHING, "rootSecretDistributeMessage"),
    ngx_http_waha_is(BESIDE, "statusLinkPreviewMetadata"),

    /* a person says something that only the phone shows */

    ngx_http_waha_says("placeholderMessage", "unknown", NULL),

    { ngx_null_string, 0, ngx_null_string, { NULL } }
};


/* WEBJS, WPP: "_data.type" */

static const ngx_http_waha_content_t  ngx_http_waha_content_web_table[] = {

    ngx_http_waha_says("chat", "text", "body"),
    ngx_http_waha_says("image", "image", "caption"),
    ngx_http_waha_says("video", "video", "caption"),
    ngx_http_waha_says("ptv", "video", "caption"),
    ngx_http_waha_says("gif", "video", "caption"),
    ngx_http_waha_says("ptt", "audio", "caption"),
    ngx_http_waha_says("audio", "audio", "caption"),
    ngx_http_waha_says("document", "document", "caption"),
    ngx_http_waha_says("sticker", "sticker", NULL),
    ngx_http_waha_says("sticker-pack", "sticker", "caption"),
    ngx_http_waha_says("location", "location", "comment", "caption"),
    ngx_http_waha_says("vcard", "contacts", NULL),
    ngx_http_waha_says("multi_vcard", "contacts", NULL),
    ngx_http_waha_says("poll_creation", "poll", "pollName"),
    ngx_http_waha_says("poll_result_snapshot", "poll", "pollName"),
    ngx_http_waha_says("event_creation", "event",
        "eventName",
        "eventDescription"),
    ngx_http_waha_says("scheduled_event_creation", "event",
        "eventName",
        "eventDescription"),
    ngx_http_waha_says("sharable_event_invite", "event",
        "caption",
        "eventName"),
    ngx_http_waha_says("groups_v4_invite", "invite",
        "comment",
        "caption",
        "inviteGrpName"),
    ngx_http_waha_says("newsletter_admin_invite", "invite",
        "caption",
        "newsletterName"),
    ngx_http_waha_says("newsletter_follower_invite", "invite",
        "caption",
        "newsletterName"),
    ngx_http_waha_says("product", "product",
        "caption",
        "title",
        "description"),
    ngx_http_waha_says("order", "order", "message", "orderTitle"),
    ngx_http_waha_says("payment", "payment", "paymentNoteMsg.body"),
    ngx_http_waha_says("list", "interactive",
        "list.description",
        "list.title"),
    ngx_http_waha_says("interactive", "interactive",
        "caption",
        "interactivePayload.body.text",
        "interactiveMessage.body.text",
        "interactiveHeader.title"),
    ngx_http_waha_says("native_flow", "interactive",
        "caption",
        "interactivePayload.body.text"),
    ngx_http_waha_says("hsm", "template", NULL),
    ngx_http_waha_says("buttons_response", "button_reply",
        "buttonsResponse.selectedDisplayText",
        "selectedButtonId"),
    ngx_http_waha_says("template_button_reply", "button_reply",
        "selectedDisplayText",
        "selectedId"),
    ngx_http_waha_says("list_response", "list_reply",
        "listResponse.title",
        "listResponse.description",
        "listResponse.singleSelectReply.selectedRowId"),
    ngx_http_waha_says("interactive_response", "flow_reply",
        "interactiveResponse.body.text",
        "interactiveResponse.nativeFlowResponseMessage.paramsJson"),
    ngx_http_waha_says("comment", "text", "body"),
    ngx_http_waha_says("newsletter_question_response", "text", "body"),
    ngx_http_waha_says("rich_response", "text", "body"),
    ngx_http_waha_says("automated_greeting_message", "text", "body"),

    /* a person says something that only the phone shows */

    ngx_http_waha_says("biz_content_placeholder", "unknown", NULL),
    ngx_http_waha_says("oversized", "unknown", NULL),
    ngx_http_waha_says("unknown", "unknown", NULL),
    ngx_http_waha_says("status", "unknown", NULL),
    ngx_http_waha_says("quarantined", "unknown", NULL),
    ngx_http_waha_says("loading_media", "unknown", NULL),

    /* changes of another message */

    ngx_http_waha_is(REVOKES, "revoked"),
    ngx_http_waha_is(PROTOCOL, "protocol"),
    ngx_http_waha_is(SECRET, "message_edit_encrypted"),
    ngx_http_waha_is(SECRET, "event_edit_encrypted"),
    ngx_http_waha_is(SECRET, "poll_edit_encrypted"),

    /* others */

    ngx_http_waha_is(CALLS, "call_log"),
    ngx_http_waha_is(WAITS, "ciphertext"),
    ngx_http_waha_is(NOTHING, "album"),
    ngx_http_waha_is(NOTHING, "notification"),
    ngx_http_waha_is(NOTHING, "notification_template"),
    ngx_http_waha_is(NOTHING, "group_notification"),
    ngx_http_waha_is(NOTHING, "broadcast_notification"),
    ngx_http_waha_is(NOTHING, "newsletter_notification"),
    ngx_http_waha_is(NOTHING, "status_notification"),
    ngx_http_waha_is(NOTHING, "e2e_notification"),
    ngx_http_waha_is(NOTHING, "gp2"),
    ngx_http_waha_is(NOTHING, "reaction"),
    ngx_http_waha_is(NOTHING, "reaction_enc"),
    ngx_http_waha_is(NOTHING, "poll_update"),
    ngx_http_waha_is(NOTHING, "poll_add_option_encrypted"),
    ngx_http_waha_is(NOTHING, "poll_add_option_decrypted"),
    ngx_http_waha_is(NOTHING, "event_response"),
    ngx_http_waha_is(NOTHING, "keep_in_chat"),
    ngx_http_waha_is(NOTHING, "pin_message"),
    ngx_http_waha_is(NOTHING, "pinned_message"),
    ngx_http_waha_is(NOTHING, "request_phone_number"),
    ngx_http_waha_is(NOTHING, "history_bundle"),
    ngx_http_waha_is(NOTHING, "message_history_bundle"),
    ngx_http_waha_is(NOTHING, "message_history_notice"),
    ngx_http_waha_is(NOTHING, "biz-cover-photo"),
    ngx_http_waha_is(NOTHING, "guest_upsell_system_msg"),
    ngx_http_waha_is(NOTHING, "debug"),
    ngx_http_waha_is(NOTHING, "debug_placeholder"),

    { ngx_null_string, 0, ngx_null_string, { NULL } }
};


void
ngx_http_waha_content_find(const cJSON *data,
    ngx_http_waha_content_found_t *found)
{
    ngx_str_t  type;

    ngx_memzero(found, sizeof(ngx_http_waha_content_found_t));

    type = ngx_http_waha_json_get_string(data, "type");

    if (type.len) {
        found->is_web = 1;
        found->item = (cJSON *) data;
        found->entry = ngx_http_waha_content_find_entry(
                           ngx_http_waha_content_web_table,
                           (char *) type.data);

    } else {
        ngx_http_waha_content_find_proto(ngx_http_waha_content_proto(data),
                                         found);
    }

    /* NOWEB, GOWS, WEBJS */

    if (cJSON_IsTrue(ngx_http_waha_content_get(data, "key.isViewOnce"))
        || cJSON_IsTrue(ngx_http_waha_content_get(data, "isViewOnce")))
    {
        found->view_once = 1;
    }
}


void
ngx_http_waha_content_find_proto(cJSON *proto,
    ngx_http_waha_content_found_t *found)
{
    cJSON       *inner;
    ngx_uint_t   i;

    ngx_memzero(found, sizeof(ngx_http_waha_content_found_t));

    for (i = 0; i < NGX_HTTP_WAHA_CONTENT_WRAPPERS; i++) {

        inner = ngx_http_waha_content_choose(proto, found);

        if (inner == NULL) {
            break;
        }

        proto = inner;
    }

    if (found->entry == NULL) {
        return;
    }

    switch (found->entry->is) {

    case NGX_HTTP_WAHA_CONTENT_WRAPS:
    case NGX_HTTP_WAHA_CONTENT_ONCE:

        /* what is inside is withheld, or too deep */

        found->entry = NULL;
        found->item = NULL;
        return;

    default:

        if (cJSON_IsTrue(ngx_http_waha_content_get(found->item, "viewOnce"))) {
            found->view_once = 1;
        }
    }
}


/*
 * The member that says most becomes the found one; returns the message that
 * it wraps, if it does.
 */

static cJSON *
ngx_http_waha_content_choose(cJSON *proto,
    ngx_http_waha_content_found_t *found)
{
    cJSON                          *item;
    ngx_uint_t                      rank, best;
    const ngx_http_waha_content_t  *entry;

    found->entry = NULL;
    found->item = NULL;
    best = 0;

    if (!cJSON_IsObject(proto)) {
        return NULL;
    }

    for (item = proto->child; item; item = item->next) {

        if (cJSON_IsNull(item)) {
            continue;
        }

        entry = ngx_http_waha_content_find_entry(
                    ngx_http_waha_content_proto_table, item->string);

        rank = ngx_http_waha_content_rank(entry, item);

        if (rank > best) {
            best = rank;
            found->entry = entry;
            found->item = item;
        }
    }

    if (found->entry && found->entry->is == NGX_HTTP_WAHA_CONTENT_ONCE) {
        found->view_once = 1;
    }

    /* a wrapper that is in no table may be one of tomorrow */

    if (found->entry == NULL
        || found->entry->is == NGX_HTTP_WAHA_CONTENT_WRAPS
        || found->entry->is == NGX_HTTP_WAHA_CONTENT_ONCE)
    {
        return ngx_http_waha_json_get(found->item, "message");
    }

    return NULL;
}


static ngx_uint_t
ngx_http_waha_content_rank(const ngx_http_waha_content_t *entry,
    const cJSON *item)
{
    if (entry == NULL) {
        return ngx_http_waha_json_get(item, "message") ? 3 : 2;
    }

    switch (entry->is) {

    case NGX_HTTP_WAHA_CONTENT_BESIDE:
        return 0;

    case NGX_HTTP_WAHA_CONTENT_NOTHING:
        return 1;

    case NGX_HTTP_WAHA_CONTENT_WRAPS:
    case NGX_HTTP_WAHA_CONTENT_ONCE:
        return 3;

    default:
        return 4;
    }
}


static const ngx_http_waha_content_t *
ngx_http_waha_content_find_entry(const ngx_http_waha_content_t *entry,
    const char *name)
{
    for ( /* void */ ; entry->name.len; entry++) {

        if (ngx_strcmp(entry->name.data, name) == 0) {
            return entry;
        }
    }

    return NULL;
}


ngx_str_t
ngx_http_waha_content_text(ngx_http_waha_content_found_t *found)
{
    ngx_str_t     text;
    ngx_uint_t    i;
    const char  **path;

    ngx_str_null(&text);

    if (found->entry == NULL) {
        return text;
    }

    path = (const char **) found->entry->texts;

    for (i = 0; i < NGX_HTTP_WAHA_CONTENT_TEXTS && path[i]; i++) {

        text = ngx_http_waha_content_get_string(found->item, path[i]);

        if (text.len) {
            return text;
        }
    }

    ngx_str_null(&text);

    return text;
}


cJSON *
ngx_http_waha_content_get(const cJSON *object, const char *path)
{
    size_t       len;
    const char  *dot;

    while (*path) {
        dot = strchr(path, '.');
        len = dot ? (size_t) (dot - path) : ngx_strlen(path);

        object = ngx_http_waha_content_member(object, path, len);

        if (object == NULL) {
            return NULL;
        }

        path += dot ? len + 1 : len;
    }

    return (object && !cJSON_IsNull(object)) ? (cJSON *) object : NULL;
}


static cJSON *
ngx_http_waha_content_member(const cJSON *object, const char *name,
    size_t len)
{
    cJSON  *item;

    if (cJSON_IsArray(object)) {
        object = object->child;
    }

    if (!cJSON_IsObject(object)) {
        return NULL;
    }

    for (item = object->child; item; item = item->next) {

        if (ngx_strlen(item->string) == len
            && ngx_strncasecmp((u_char *) item->string, (u_char *) name, len)
               == 0)
        {
            return item;
        }
    }

    return NULL;
}


ngx_str_t
ngx_http_waha_content_get_string(const cJSON *object, const char *path)
{
    cJSON      *item;
    ngx_str_t   value;

    item = ngx_http_waha_content_get(object, path);

    if (!cJSON_IsString(item)) {
        ngx_str_null(&value);
        return value;
    }

    value.data = (u_char *) item->valuestring;
    value.len = ngx_strlen(value.data);

    return value;
}


cJSON *
ngx_http_waha_content_proto(const cJSON *data)
{
    cJSON  *proto;

    proto = ngx_http_waha_json_get(data, "message");

    return proto ? proto : ngx_http_waha_json_get(data, "Message");
}
