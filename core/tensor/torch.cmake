# LibTorch, found in RADIOGRAPH_TORCH. Its own CMake package stops without a CUDA toolkit, so the imported
# target is ours: torch, torch_cpu, c10, and the CUDA libraries when they are there.
if(NOT EXISTS ${RADIOGRAPH_TORCH}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "RADIOGRAPH_TORCH is '${RADIOGRAPH_TORCH}'; it must name the folder that holds LibTorch's "
                      "include/ and lib/ (deploy/set-up does that), or give -DRADIOGRAPH_COMPUTE=OFF")
endif()
add_library(radiograph_libtorch INTERFACE)
target_include_directories(radiograph_libtorch SYSTEM INTERFACE ${RADIOGRAPH_TORCH}/include)
# A library that only registers kernels is dropped by --as-needed, which some linkers have as default.
target_link_libraries(radiograph_libtorch INTERFACE -Wl,--no-as-needed)
foreach(library torch torch_cpu c10 torch_cuda c10_cuda)
  if(EXISTS ${RADIOGRAPH_TORCH}/lib/lib${library}.so)
    add_library(libtorch_${library} SHARED IMPORTED GLOBAL)
    set_target_properties(libtorch_${library} PROPERTIES IMPORTED_LOCATION ${RADIOGRAPH_TORCH}/lib/lib${library}.so)
    target_link_libraries(radiograph_libtorch INTERFACE libtorch_${library})
  endif()
endforeach()
target_link_libraries(radiograph_libtorch INTERFACE -Wl,--as-needed)

# `target` may include LibTorch, and gets ATen from the precompiled header of radiograph_tensor: 3 s a source
# instead of 12 s. PRIVATE: LibTorch's include folder carries an old protobuf that breaks generated code.
function(radiograph_use_torch target)
  target_link_libraries(${target} PRIVATE radiograph_libtorch)
  if(target STREQUAL radiograph_tensor)
    target_precompile_headers(${target} PRIVATE <ATen/ATen.h> <c10/core/GradMode.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM radiograph_tensor)
  endif()
endfunction()

# The program torch_test out of all sources given to radiograph_test(... TORCH), and one ctest entry a suite,
# found by reading the sources: asking the program would start LibTorch at build time.
function(radiograph_torch_tests)
  get_property(sources GLOBAL PROPERTY radiograph_torch_test_srcs)
  get_property(dependencies GLOBAL PROPERTY radiograph_torch_test_deps)
  if(NOT sources)
    return()
  endif()
  list(REMOVE_DUPLICATES dependencies)
  add_executable(torch_test ${sources})
  target_link_libraries(torch_test PRIVATE ${dependencies} radiograph::test_support GTest::gmock_main)
  radiograph_use_torch(torch_test)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sources})
  set(suites)
  foreach(source ${sources})
    file(STRINGS ${source} lines REGEX "^TEST(_F|_P)?\\(")
    foreach(line ${lines})
      string(REGEX REPLACE "^TEST[_FP]*\\(([A-Za-z0-9_]+),.*" "\\1" suite "${line}")
      list(APPEND suites ${suite})
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES suites)
  foreach(suite ${suites})
    add_test(NAME torch.${suite} COMMAND torch_test --gtest_filter=${suite}.*:*/${suite}.*
             WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    # Threads of LibTorch that wait by spinning take a busy machine's cores from those that work.
    set_tests_properties(torch.${suite} PROPERTIES TIMEOUT 300 ENVIRONMENT OMP_WAIT_POLICY=PASSIVE)
  endforeach()
endfunction()
