"""`spec/v1.md`: files, messages, conversations, speech, the app."""

from surface.requirements.requirement import Requirement

V1_REST = (
    # Files
    Requirement("v1.files.upload", "one file and user as multipart: 201 with exactly its fields", 5),
    Requirement("v1.files.types", "PNG, JPG, JPEG, WEBP and GIF by content, not by name", 5),
    Requirement("v1.files.none", "no part: 400 no_file_uploaded", 5),
    Requirement("v1.files.several", "several: 400 too_many_files", 5),
    Requirement("v1.files.large", "too big: 413 file_too_large", 5),
    Requirement("v1.files.unsupported", "another type or content: 415 unsupported_file_type", 5),
    Requirement(
        "v1.files.storage", "storage away: 503 s3_connection_failed, s3_permission_denied, s3_file_too_large", 5
    ),
    Requirement("v1.files.no-preview", "a preview of a file that has none: 400 unsupported_preview", 5),
    Requirement("v1.files.no-content-type", "a part without a Content-Type works", 5),
    Requirement("v1.files.names", "names are cut at 200 characters and are never paths", 5),
    Requirement("v1.files.preview", "the bytes for whoever has the signed URL", 5),
    Requirement("v1.files.signature", "a signature lives 300 s or as configured, and is new each time", 5),
    Requirement("v1.files.bad-signature", "a bad or old signature: 404", 5),
    Requirement("v1.files.inline", "HTML and SVG never inline", 5),
    # Messages
    Requirement("v1.feedback.set", "like and dislike are kept", 5),
    Requirement("v1.feedback.taken-back", "null or nothing takes the rating back, also where there was none", 5),
    Requirement("v1.feedback.values", "another rating: 400", 5),
    Requirement("v1.suggested", "three questions from the model", 5),
    Requirement("v1.suggested.off", "off in the app: 400 bad_request in its own words", 5),
    Requirement("v1.suggested.fails", "the model fails: 200 and an empty list", 5),
    Requirement("v1.messages.page", "the newest limit messages, the oldest of them first", 5),
    Requirement("v1.messages.limit", "limit is 20, clamped to 1..100 and returned as clamped", 5),
    Requirement("v1.messages.first-id", "first_id: the page before that message; unknown 404", 5),
    Requirement(
        "v1.messages.conversation", "conversation_id missing 400, empty an empty page, unknown or foreign 404", 5
    ),
    Requirement("v1.messages.order", "by created_at and id: no row lost or doubled on equal times", 5),
    Requirement("v1.messages.item", "an item has exactly its fields", 5),
    # Conversations
    Requirement("v1.conversations.page", "limit, has_more and data, by last_id; unknown 404", 5),
    Requirement("v1.conversations.sort", "four orders, -updated_at by default, another 400", 5),
    Requirement("v1.conversations.renewed", "a turn renews updated_at", 5),
    Requirement("v1.conversations.pinned", "pinned true or false filters", 5),
    Requirement("v1.conversations.pin", "the pin route sets it", 5),
    Requirement("v1.conversations.item", "an item has exactly its fields", 5),
    Requirement("v1.conversations.delete", "deleted: 200, then 404 everywhere", 5),
    Requirement("v1.conversations.rename", "a name by hand: the item and result success", 5),
    Requirement(
        "v1.conversations.auto-name", "auto_generate titles from the first turn; the model failing keeps the name", 5
    ),
    Requirement("v1.conversations.no-name", "neither: 400 in its own words", 5),
    Requirement("v1.conversations.kept-name", "a name by hand is not overwritten by the automatic title", 5),
    # Speech
    Requirement("v1.speech.to-text", "a sound of the seven types as multipart: its text", 6),
    Requirement("v1.speech.to-text-none", "no part: 400 no_audio_uploaded", 6),
    Requirement("v1.speech.to-text-large", "over 15 MB: 413 audio_too_large", 6),
    Requirement("v1.speech.to-text-type", "another type: 415 unsupported_audio_type", 6),
    Requirement("v1.speech.to-text-provider", "a provider that can't: 400 provider_not_support_speech_to_text", 6),
    Requirement("v1.speech.to-text-off", "off in the app: 400 invalid_param", 6),
    Requirement("v1.speech.to-audio", "the bytes streamed as they come, WAV or MP3 as the app says", 6),
    Requirement("v1.speech.to-audio-message", "message_id wins over text; unknown, foreign or empty message 404", 6),
    Requirement("v1.speech.to-audio-none", "neither message_id nor text: 400", 6),
    # The app
    Requirement("v1.parameters", "the app's parameters with exactly their fields", 5),
    Requirement("v1.parameters.form", "the input form as the clients know it", 5),
    Requirement("v1.meta", "tool_icons of the app", 5),
    Requirement("v1.meta.tools", "an icon for each tool that the app may use", 7),
    Requirement("v1.info", "name, description, tags, mode, author_name", 5),
    Requirement("v1.site", "the site's settings", 5),
)
