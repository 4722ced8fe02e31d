// Descriptors that a backend's operations have opened and not closed. They are its own: a thread that is terminated, or has
// run out of memory, runs nothing of JavaScript any more that could close them.
#ifndef QUADRING_OPEN_DESCRIPTORS_H
#define QUADRING_OPEN_DESCRIPTORS_H

#include <unistd.h>

#include <set>

namespace quadring {

class OpenDescriptors {
 public:
  /** What an open gave: a descriptor, or a negative errno. */
  void Opened(int result) {
    if (result >= 0) open_.insert(result);
  }
  void Closing(int descriptor) { open_.erase(descriptor); }
  /** What the kernel is still at work on has its own hold on the files. */
  void CloseAll() {
    for (const int descriptor : open_) close(descriptor);
    open_.clear();
  }

 private:
  std::set<int> open_;
};

}  // namespace quadring

#endif
