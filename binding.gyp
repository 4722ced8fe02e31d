{
  # The addon. Sources are C++17; liburing and LZ4 are linked as archives where the system has them, so that the result
  # needs nothing but libc and libstdc++ at run time.
  'targets': [{
    'target_name': 'quadring',
    'sources': [
      'native/addon.cc',
      'native/batch.cc',
      'native/checksum.cc',
      'native/compression.cc',
      'native/errors.cc',
      'native/files.cc',
      'native/fixed_buffers.cc',
      'native/fixed_files.cc',
      'native/huge_pages.cc',
      'native/io_priority.cc',
      'native/javascript.cc',
      'native/kernel_features.cc',
      'native/memory.cc',
      'native/provided_buffers.cc',
      'native/ring.cc',
      'native/ring_errors.cc',
      'native/ring_poller.cc',
      'native/ring_prepare.cc',
      'native/ring_queue.cc',
      'native/ring_setup.cc',
      'native/scheduling.cc',
      'native/signal.cc',
      'native/system_calls.cc',
      'native/watch.cc',
    ],
    'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
    'defines': [
      'NAPI_VERSION=9', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED',
      # In a worker that is being terminated nothing can be thrown any more; without this node-addon-api aborts there.
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    ],
    'cflags_cc': [
      '-std=c++17', '-O2', '-fno-rtti', '-fno-exceptions', '-fvisibility=hidden',
      '-ffunction-sections', '-fdata-sections',
      '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-missing-field-initializers',
    ],
    # Later flags win: the headers' common.gypi may ask for another standard or level.
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-O3'],
    # The libraries' names stay inside: another addon in the process may carry another version.
    'ldflags': ['-Wl,--gc-sections', '-Wl,--exclude-libs,ALL'],
    'libraries': ['<!@(node scripts/native.cjs --libraries)'],
    'conditions': [
      # The checksum instructions are optional in ARMv8.0; the addon asks the kernel for them before it uses them.
      ['target_arch=="arm64"', { 'cflags_cc': ['-march=armv8-a+crc'] }],
    ],
  }],
}
