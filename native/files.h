// Descriptors and files: the directory lock, eventfds, the alignment that O_DIRECT asks for.
#ifndef QUADRING_FILES_H
#define QUADRING_FILES_H

#include <napi.h>

namespace quadring {

/** Adds createEventfd, wakeEventfd, closeDescriptor, lockFile, lockDirectory and directAlignment. */
void DefineFiles(Napi::Env env, Napi::Object exports);

}  // namespace quadring

#endif
