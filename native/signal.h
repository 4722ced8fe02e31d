// Signals: any thread can have a callback run on the event loop of the thread that created the signal.
#ifndef QUADRING_SIGNAL_H
#define QUADRING_SIGNAL_H

#include <napi.h>

namespace quadring {

/** Adds createSignal, signal, referSignal and closeSignal. */
void DefineSignals(Napi::Env env, Napi::Object exports);

}  // namespace quadring

#endif
