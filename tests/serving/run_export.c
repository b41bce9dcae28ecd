// Continues prompts with an export, through TensorFlow's C library alone.
//
//     run_export EXPORT LIBRARY TOKENS SEED PROMPT...
//
// LIBRARY is a library of operations that the export needs, or empty. The texts
// go to standard output, a NUL behind each.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

static void check(TF_Status* status) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "error: %s\n", TF_Message(status));
  exit(1);
}

static TF_Tensor* number(TF_DataType type, const void* value) {
  TF_Tensor* tensor = TF_AllocateTensor(type, NULL, 0, 4);
  memcpy(TF_TensorData(tensor), value, 4);
  return tensor;
}

static TF_Tensor* strings(int64_t rows, char** texts) {
  TF_Tensor* tensor =
      TF_AllocateTensor(TF_STRING, &rows, 1, rows * sizeof(TF_TString));
  TF_TString* string = TF_TensorData(tensor);
  for (int64_t i = 0; i < rows; ++i) {
    TF_TString_Init(string + i);
    TF_TString_Copy(string + i, texts[i], strlen(texts[i]));
  }
  return tensor;
}

// An input or output of a signature is named OPERATION:NUMBER.
static TF_Output place(TF_Graph* graph, char* name) {
  char* colon = strchr(name, ':');
  *colon = '\0';
  TF_Output output = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  return output;
}

// Which tensor is which: lines of NAME OPERATION:NUMBER, the output first.
enum { OUTPUT, PROMPT, MOST, TEMPERATURE, TOP_K, TOP_P, SEED, PLACES };

int main(int count, char** arguments) {
  if (count < 6) return 2;
  TF_Status* status = TF_NewStatus();
  if (*arguments[2]) TF_LoadLibrary(arguments[2], status);
  check(status);
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(
      options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check(status);
  TF_Output places[PLACES];
  char name[256];
  for (int i = 0; i < PLACES; ++i) {
    if (scanf("%255s", name) != 1) return 2;
    places[i] = place(graph, name);
    if (places[i].oper == NULL) return 2;
  }
  int32_t most = atoi(arguments[3]), top_k = 0, seed = atoi(arguments[4]);
  float temperature = 1, top_p = 1;
  TF_Tensor* values[] = {
      strings(count - 5, arguments + 5), number(TF_INT32, &most),
      number(TF_FLOAT, &temperature),    number(TF_INT32, &top_k),
      number(TF_FLOAT, &top_p),          number(TF_INT32, &seed)};
  TF_Tensor* text = NULL;
  TF_SessionRun(session, NULL, places + 1, values, PLACES - 1, places, &text,
                1, NULL, 0, NULL, status);
  check(status);
  const TF_TString* string = TF_TensorData(text);
  for (int64_t i = 0; i < TF_Dim(text, 0); ++i, ++string) {
    fwrite(TF_TString_GetDataPointer(string), 1, TF_TString_GetSize(string),
           stdout);
    putchar('\0');
  }
  return 0;
}
